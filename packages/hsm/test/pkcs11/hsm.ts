import { randomBytes } from 'node:crypto'
import { createPkcs11Keys } from '../../src/pkcs11/create-keys.ts'
import type { Pkcs11Settings } from '../../src/token/settings.ts'
import type { CreatedToken, RecoveryBlobs, Token } from '../../src/token/token.ts'
import { keyWrap, sealTransport } from '../soft/crypto-oracle.ts'
import type { JoinMaterial } from './join-sequence.ts'
import { pin, type SoftHsm, TOKEN_LABEL } from './softhsm.ts'

export interface MadeHsm {
  readonly created: CreatedToken<Pkcs11Settings>
  readonly recoveryKey: Buffer
}

/** The keys of one HSM in the test token, under labels of their own. */
export function makeHsm(
  { module }: SoftHsm,
  objectPrefix: string,
  options: { tokenLabel?: string; recoveryKey?: Buffer; from?: RecoveryBlobs } = {},
): MadeHsm {
  const { tokenLabel = TOKEN_LABEL, recoveryKey = randomBytes(32), ...from } = options
  return {
    created: createPkcs11Keys({ module, tokenLabel, objectPrefix, recoveryKey, pin: pin(), ...from }),
    recoveryKey,
  }
}

/** Root keys that the token made and KEKs of 128 bits that came in by an envelope, open. */
export function joinMaterial(token: Token, { created }: MadeHsm): JoinMaterial {
  const transportKey = randomBytes(32)
  const transport = token.openTransport(sealTransport(created.importPublicKey, transportKey))
  const kek = () => token.openKek(token.importKek(transport, keyWrap(transportKey, randomBytes(16))))
  return {
    appKeyBlob: token.generateRoot().rootUse,
    nwkKeyBlob: token.generateRoot().rootUse,
    nsKek: kek(),
    asKek: kek(),
  }
}
