/** What the fuzzer and its reading thread say to one another. */
export interface FileQuestion {
  readonly index: number
}

export type FileAnswer =
  | { readonly index: number; readonly kind: string; readonly outcome: string }
  | {
      readonly index: number
      readonly failure: { readonly code: string; readonly detail: string }
      readonly input: Uint8Array
    }
