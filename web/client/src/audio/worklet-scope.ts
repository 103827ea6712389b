/** Members of AudioWorkletGlobalScope, which TypeScript's libraries lack. */
export interface WorkletScope {
  readonly sampleRate: number;
  readonly AudioWorkletProcessor: new () => { readonly port: MessagePort };
  registerProcessor(name: string, processor: new (options: { processorOptions?: unknown }) => object): void;
}

export const scope = globalThis as unknown as WorkletScope;

/** Reports of a worklet a second. */
export const REPORTS_A_SECOND = 20;
