/** DevNonce has 2 bytes; a device that has used them all can join under another JoinEUI only. */
export const MAX_DEV_NONCE = 0xffff

/** JoinNonce (AppNonce before 1.0.4) has 3 bytes. */
export const MAX_JOIN_NONCE = 0xffffff
