import type { DevEui, JoinEui, MacVersion, NetId } from '@mortise/lorawan'
import type { HsmErrorCode } from '../errors.ts'
import type { ReceiptHead } from '../receipts/head.ts'
import type { WorkerStart } from '../worker/messages.ts'

/**
 * What a benchmark asks of the programs in this folder over Node's IPC channel, by name: one question, one answer, in the
 * order of the questions. Buffers arrive as Uint8Array.
 */
export type Dialogue<D> = Readonly<Record<keyof D, { readonly question: object; readonly answer: object }>>

export interface AskedMessage {
  readonly name: string
  readonly question: object
}

export type AnswerMessage =
  | { readonly kind: 'answered'; readonly answer: object }
  | { readonly kind: 'refused'; readonly code: HsmErrorCode; readonly detail: string | undefined }

/** Which HSM to open; nobody else may have it open. */
export interface BenchHsmFiles {
  /** `DIR/hsm`. */
  readonly directory: string
  /** With the passphrase or PIN. */
  readonly secretFile: string
}

/** What all devices of a fleet have in common; they share its root keys. */
export interface BenchFleet {
  readonly macVersion: MacVersion
  readonly joinEui: JoinEui
  /** 16 bytes. */
  readonly owner: Uint8Array
  readonly networks: readonly NetId[]
  readonly applicationServers: readonly string[]
  /** Root keys in sealed envelopes; device `index` has the one at `index % count`. `nwkKeys` for LoRaWAN 1.1 only. */
  readonly appKeys: readonly Uint8Array[]
  readonly nwkKeys: readonly Uint8Array[]
}

/** Of `fill-main.ts`, in this order: `open` and `fleet` once, `devices` as often as one likes, `close`. */
export interface FillDialogue {
  readonly open: { readonly question: BenchHsmFiles; readonly answer: { readonly importPublicKey: Uint8Array } }
  readonly fleet: { readonly question: BenchFleet; readonly answer: Record<string, never> }
  /** Device records, and a receipt of them that names `subject` as the text of their order. */
  readonly devices: {
    readonly question: { readonly first: number; readonly devEuis: readonly DevEui[]; readonly subject: Uint8Array }
    readonly answer: { readonly records: readonly Uint8Array[]; readonly receipt: Uint8Array }
  }
  /** The head that ends the chain of receipts. */
  readonly close: { readonly question: Record<string, never>; readonly answer: ReceiptHead }
}

/** How fast one process was in a stretch of time. */
export interface BenchWindow {
  readonly seconds: number
  readonly answered: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

interface AloneQuestions {
  /** Encoded join commands, and what each process answered to them. */
  readonly prepare: { readonly commands: readonly Uint8Array[] }
  /** Begins to answer them, again and again. */
  readonly run: Record<string, never>
  /** Takes the times of the next seconds. */
  readonly window: { readonly seconds: number }
  readonly halt: Record<string, never>
}

interface AloneAnswers {
  readonly prepare: { readonly answers: readonly Uint8Array[] }
  readonly run: Record<string, never>
  readonly window: BenchWindow
  readonly halt: Record<string, never>
}

/** Of `alone-main.ts`; each answer but the first is one of every process. */
export type AloneDialogue = {
  readonly [Name in keyof AloneQuestions]: {
    readonly question: AloneQuestions[Name]
    readonly answer: readonly AloneAnswers[Name][]
  }
} & {
  readonly open: {
    readonly question: BenchHsmFiles & { readonly processes: number }
    readonly answer: Record<string, never>
  }
}

/** Of `alone-worker-main.ts`. */
export type AloneWorkerDialogue = {
  readonly [Name in keyof AloneQuestions]: {
    readonly question: AloneQuestions[Name]
    readonly answer: AloneAnswers[Name]
  }
} & {
  readonly start: { readonly question: WorkerStart; readonly answer: Record<string, never> }
}
