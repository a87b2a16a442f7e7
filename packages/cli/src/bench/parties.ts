import { parseJoinEui, parseNetId } from '@mortise/lorawan'

/** Who takes part in a benchmark beside its devices. */
export const JOIN_EUI = parseJoinEui('70b3d57ed0000b01')
export const NETWORK = parseNetId('000013')
export const AS_ID = 'bench.example'
export const KEK_LABEL = 'bench-1'
