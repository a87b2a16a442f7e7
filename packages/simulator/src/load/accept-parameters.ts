import { is11, type JoinAccept, type MacVersion, type NetId, OPT_NEG } from '@mortise/lorawan'

/** What a network asks to have in the join-accept, beside the DevAddr. */
export type AcceptParameters = Pick<JoinAccept, 'netId' | 'dlSettings' | 'rxDelay' | 'cfList'>

/** EU868 with five more channels, as ChirpStack v4 sends it: the join-accept then has 33 bytes. */
const CF_LIST = Uint8Array.from(Buffer.from('184f84e85684b85e84886684586e8400', 'hex'))
const RX_DELAY = 1

/** What the network of a load asks for. */
export function loadAcceptParameters(netId: NetId, macVersion: MacVersion): AcceptParameters {
  return { netId, dlSettings: is11(macVersion) ? OPT_NEG : 0, rxDelay: RX_DELAY, cfList: CF_LIST }
}
