export { AnswerListener, type AnswerListenerOptions } from './answer-listener.ts'
export { type Command, serveCommands } from './command-loop.ts'
export { CommandError, CommandProcess, type CommandProcessOptions } from './command-process.ts'
export { type DevAddrBlock, devAddrBlock } from './dev-addr.ts'
export { Device, type Downlink, type UplinkOptions } from './device.ts'
export { DeviceError, type DeviceErrorCode } from './device-error.ts'
export {
  APPLICATION_SERVER_MAIN,
  LOAD_GENERATOR_MAIN,
  NETWORK_SERVER_MAIN,
  SECURE_ELEMENT_MAIN,
  STORM_MAIN,
} from './main-urls.ts'
export { type AcceptParameters, loadAcceptParameters } from './load/accept-parameters.ts'
export { Latencies } from './load/latencies.ts'
export { type AnsweredKeys, LoadDevices, type LoadJoin, WrongAnswerError } from './load/load-devices.ts'
export { encodeLoadFleet, type LoadFleet, loadDevEui, readLoadFleet } from './load/load-fleet.ts'
export { Members, MembersError, type MembersErrorCode } from './members.ts'
export { NetworkServer } from './network-server.ts'
export { NetworkServerError, type NetworkServerErrorCode } from './network-server-error.ts'
export type {
  Activation,
  ActivationOptions,
  DownlinkToSend,
  NetworkServerOptions,
  ReceivedUplink,
  RejoinOptions,
} from './network-server-options.ts'
export type { UplinkMetadata } from './network-session.ts'
export type {
  DeviceIdentity,
  DownlinkToVerify,
  FOptsToCrypt,
  FrmPayloadToCrypt,
  JoinResult,
  RejoinToSign,
  RootKeys,
  SecureElement,
  UplinkToSign,
} from './secure-element.ts'
export { SecureElementError, type SecureElementErrorCode } from './secure-element-error.ts'
export { SecureElementProcess, type SecureElementProcessOptions } from './secure-element-process.ts'
export { type SeenEntry, SeenLog } from './seen.ts'
export { SoftSecureElement } from './soft-secure-element.ts'
