import { HsmError } from '../errors.ts'
import { CKM } from './constants.ts'
import { loadPkcs11Library, type Pkcs11Library, type Slot } from './library.ts'
import { findSlot } from './session.ts'
import type { DerivationMechanism } from './structures.ts'

/** What the in-token profile needs whatever the way of derivation. */
const NEEDED = {
  CKM_AES_KEY_GEN: CKM.AES_KEY_GEN,
  CKM_AES_KEY_WRAP: CKM.AES_KEY_WRAP,
  CKM_AES_CMAC: CKM.AES_CMAC,
  CKM_AES_ECB: CKM.AES_ECB,
  CKM_RSA_PKCS_KEY_PAIR_GEN: CKM.RSA_PKCS_KEY_PAIR_GEN,
  CKM_RSA_PKCS_OAEP: CKM.RSA_PKCS_OAEP,
  CKM_EC_EDWARDS_KEY_PAIR_GEN: CKM.EC_EDWARDS_KEY_PAIR_GEN,
  CKM_EDDSA: CKM.EDDSA,
} as const

/** `in-token`: the whole join runs inside the token. `unsupported`: `missing` names the mechanisms that it lacks. */
export type TokenProbe =
  | { readonly profile: 'in-token'; readonly derivation: DerivationMechanism }
  | { readonly profile: 'unsupported'; readonly missing: readonly string[] }

export function probeMechanisms(listed: ReadonlySet<number>): TokenProbe {
  const missing = Object.entries(NEEDED).flatMap(([name, type]) => (listed.has(type) ? [] : [name]))
  const derivation = derivationOf(listed)
  if (derivation === undefined) missing.push('CKM_AES_ECB_ENCRYPT_DATA or CKM_AES_CBC_ENCRYPT_DATA')
  if (derivation === undefined || missing.length > 0) return { profile: 'unsupported', missing }
  return { profile: 'in-token', derivation }
}

function derivationOf(listed: ReadonlySet<number>): DerivationMechanism | undefined {
  if (listed.has(CKM.AES_ECB_ENCRYPT_DATA)) return CKM.AES_ECB_ENCRYPT_DATA
  if (listed.has(CKM.AES_CBC_ENCRYPT_DATA)) return CKM.AES_CBC_ENCRYPT_DATA
  return undefined
}

/**
 * Says which profile a token supports, by its list of mechanisms.
 * @throws HsmError token_failed when the module or the token is not there
 */
export function probeToken(module: string, tokenLabel: string): TokenProbe {
  const library = loadPkcs11Library(module)
  library.retain()
  try {
    return probeMechanisms(library.mechanisms(findSlot(library.slots(), tokenLabel, module).id))
  } finally {
    library.release()
  }
}

/**
 * The way of derivation of a token that can do everything.
 * @throws HsmError token_failed naming what it lacks
 */
export function requireInToken(library: Pkcs11Library, slot: Slot): DerivationMechanism {
  const probe = probeMechanisms(library.mechanisms(slot.id))
  if (probe.profile === 'in-token') return probe.derivation
  throw new HsmError(
    'token_failed',
    `token "${slot.label}" cannot serve joins: it lacks ${probe.missing.join(', ')}. Use another token or the soft HSM`,
  )
}
