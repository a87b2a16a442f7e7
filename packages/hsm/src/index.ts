export * from './errors.ts'
export * from './secret-file.ts'
export type { ReleaseAppSKeyCommand, ReleasedAppSKey } from './contract/app-s-key.ts'
export type { AppSKeyToNetwork, JoinAnswer, JoinCommand, VerifyJoinRequestCommand } from './contract/join.ts'
export { decodeJoinAnswer, encodeJoinCommand } from './contract/join.ts'
export type { AppliedOrder, ApplyOrderCommand, OrderSignature, RecordChange } from './contract/order.ts'
export type { Welcome } from './contract/session.ts'
export * from './records/device-record.ts'
export * from './records/kek-record.ts'
export * from './records/session-record.ts'
export * from './receipts/receipt.ts'
export * from './receipts/head.ts'
export * from './orders/order.ts'
export * from './orders/peer-changes.ts'
export { parseOrder } from './orders/parse-order.ts'
export * from './orders/sign-order.ts'
export { envelopeDigest, sealEnvelope } from './orders/envelope.ts'
export { HsmClient, type HsmClientOptions, type HsmClientState } from './client/client.ts'
export { hsmStatus, unseal } from './client/custodian-client.ts'
export type { CeremonyAnswer, CeremonyRequest } from './ceremony/main.ts'
export type { BackendChoice } from './ceremony/create-hsm.ts'
export { boundaryEnvironment } from './process/environment.ts'
export { type SecretKind, serveHsm, type ServeHsmOptions } from './supervisor/serve.ts'
export type { SupervisorStatus } from './supervisor/supervisor.ts'
/** Entry files of the processes of the trust boundary, for whoever starts them. */
export const HSM_SUPERVISOR_MAIN = new URL('./supervisor/main.ts', import.meta.url)
export const HSM_CEREMONY_MAIN = new URL('./ceremony/main.ts', import.meta.url)
/** Of those that a benchmark needs beside them; the last is a supervisor. */
export const HSM_BENCH_FILL_MAIN = new URL('./bench/fill-main.ts', import.meta.url)
export const HSM_BENCH_ALONE_MAIN = new URL('./bench/alone-main.ts', import.meta.url)
export const HSM_BENCH_PROFILED_MAIN = new URL('./bench/profiled-main.ts', import.meta.url)
export { AskedProcess } from './bench/asked-process.ts'
export type { AloneDialogue, FillDialogue } from './bench/dialogue.ts'
