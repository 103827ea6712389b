/** What an AudioWorkletGlobalScope has, which TypeScript's libraries do not name. */
export interface WorkletScope {
  readonly sampleRate: number;
  readonly AudioWorkletProcessor: new () => { readonly port: MessagePort };
  registerProcessor(name: string, processor: new (options: { processorOptions?: unknown }) => object): void;
}

export const scope = globalThis as unknown as WorkletScope;

/** Times a second that a worklet reports. */
export const REPORTS_A_SECOND = 20;
