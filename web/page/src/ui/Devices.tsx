/** The choice of microphone and loudspeaker. */
import type { ConversationView } from "../conversation-view.js";

export function Devices({ view }: { readonly view: ConversationView }) {
  const { sound } = view;
  const { microphone, speaker } = sound.chosen.value;
  const microphones = sound.microphones.value;
  const speakers = sound.speakers.value;
  if (sound.microphone.value === "off" || (microphones.length === 0 && speakers.length === 0)) return null;
  return (
    <details
      class="devices"
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        event.currentTarget.open = false;
        event.currentTarget.querySelector("summary")?.focus();
      }}
    >
      <summary>Devices</summary>
      <div class="menu">
        <DeviceChoice id="microphones" label="Microphone" devices={microphones} chosen={microphone} onChoose={(id) => void sound.useMicrophone(id)} />
        <DeviceChoice id="speakers" label="Loudspeaker" devices={speakers} chosen={speaker} onChoose={(id) => void sound.useSpeaker(id)} />
      </div>
    </details>
  );
}

function DeviceChoice({ id, label, devices, chosen, onChoose }: {
  readonly id: string;
  readonly label: string;
  readonly devices: readonly MediaDeviceInfo[];
  readonly chosen: string | undefined;
  readonly onChoose: (id: string) => void;
}) {
  if (devices.length === 0) return null;
  return (
    <>
      <label for={id}>{label}</label>
      <select id={id} value={chosen ?? devices[0]?.deviceId} onChange={({ currentTarget }) => { onChoose(currentTarget.value); }}>
        {devices.map((device, number) => (
          <option key={device.deviceId} value={device.deviceId}>{device.label || `${label} ${number + 1}`}</option>
        ))}
      </select>
    </>
  );
}
