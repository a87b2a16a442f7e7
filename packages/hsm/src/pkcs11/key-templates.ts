import { CKA, CKK, CKM, CKO } from './constants.ts'
import { type Attributes, Template } from './structures.ts'

const USES = [CKA.ENCRYPT, CKA.DECRYPT, CKA.WRAP, CKA.UNWRAP, CKA.SIGN, CKA.VERIFY, CKA.DERIVE] as const
type Use = (typeof USES)[number]

/** Every use is named, because what a token takes for granted differs from one to the next. */
function uses(...allowed: readonly Use[]): Attributes {
  return USES.map((use) => [use, allowed.includes(use)])
}

const AES_KEY: Attributes = [
  [CKA.CLASS, CKO.SECRET_KEY],
  [CKA.KEY_TYPE, CKK.AES],
]

interface Secrecy {
  readonly sensitive: boolean
  readonly extractable: boolean
}

const SEALED: Secrecy = { sensitive: true, extractable: false }
const WRAPPABLE: Secrecy = { sensitive: true, extractable: true }
const READABLE: Secrecy = { sensitive: false, extractable: true }

function secrecy({ sensitive, extractable }: Secrecy): Attributes {
  return [
    [CKA.SENSITIVE, sensitive],
    [CKA.EXTRACTABLE, extractable],
  ]
}

function sessionKey(level: Secrecy, ...allowed: readonly Use[]): Attributes {
  return [...AES_KEY, [CKA.TOKEN, false], [CKA.PRIVATE, true], ...secrecy(level), ...uses(...allowed)]
}

/**
 * What a hardened key demands of everything that it unwraps. Without it, whoever holds the PIN unwraps a root key as
 * readable; without the last two, it sets ENCRYPT on an unwrapped root key; without the type, it opens 16 bytes of AES
 * as a key of a weaker cipher.
 */
const OPENED_BY_HARDENED: Attributes = [
  ...AES_KEY,
  [CKA.SENSITIVE, true],
  [CKA.EXTRACTABLE, false],
  [CKA.ENCRYPT, false],
  [CKA.WRAP, false],
  [CKA.MODIFIABLE, false],
]

/** What the import key demands of a transport key. An UNWRAP_TEMPLATE cannot in turn demand one. */
const OPENED_BY_IMPORT: Attributes = [...AES_KEY, ...secrecy(SEALED), [CKA.MODIFIABLE, false]]

/** The token refuses a template that does not repeat every attribute of the UNWRAP_TEMPLATE, MODIFIABLE last. */
function openedByHardened(...allowed: readonly Use[]): Attributes {
  return [...sessionKey(SEALED, ...allowed), [CKA.MODIFIABLE, false]]
}

/** The final form of a storage key: it does AES key wrap and nothing else, and no attribute can change again. */
function storageKey(label: string, openedByIt: Attributes, ...allowed: readonly Use[]): Attributes {
  return [
    ...AES_KEY,
    [CKA.TOKEN, true],
    [CKA.PRIVATE, true],
    [CKA.LABEL, Buffer.from(label)],
    ...secrecy(SEALED),
    ...uses(...allowed),
    [CKA.UNWRAP_TEMPLATE, { template: openedByIt }],
    [CKA.ALLOWED_MECHANISMS, { mechanisms: [CKM.AES_KEY_WRAP] }],
    [CKA.COPYABLE, false],
    [CKA.MODIFIABLE, false],
  ]
}

export function rootUseKey(label: string): Template {
  return new Template(storageKey(label, OPENED_BY_HARDENED, CKA.WRAP, CKA.UNWRAP))
}

/** What it unwraps can be wrapped again, which AppSKeyReq and KEK rotation need; so it only demands SENSITIVE. */
export function sessionStorageKey(label: string): Template {
  return new Template(storageKey(label, [...AES_KEY, [CKA.SENSITIVE, true]], CKA.WRAP, CKA.UNWRAP))
}

/** Escrow only wraps here: its unwrapping copy lies in the recovery file. */
export function escrowKey(label: string): Template {
  return new Template(storageKey(label, OPENED_BY_HARDENED, CKA.WRAP))
}

/** A key that is being made or moved: it may be wrapped, is sensitive, and lives for a few calls. */
export function passingKey(...allowed: readonly Use[]): Template {
  return new Template(sessionKey(WRAPPABLE, ...allowed))
}

/** As {@link passingKey}, generated: `size` in bytes. */
export function generatedKey(size: number, ...allowed: readonly Use[]): Template {
  return new Template([...sessionKey(WRAPPABLE, ...allowed), [CKA.VALUE_LEN, size]])
}

/** The recovery key comes as bytes from its file. {@link Template.wipe} it once the object is made. */
export function recoveryKey(value: Uint8Array): Template {
  return new Template([...sessionKey(SEALED, CKA.WRAP, CKA.UNWRAP), [CKA.VALUE, value]])
}

/** What a hardened key must refuse to open. */
export function readableKey(): Template {
  return new Template(sessionKey(READABLE))
}

/** Templates of the calls per join, built once for each session. */
export function hotTemplates() {
  return {
    root: new Template(openedByHardened(CKA.DERIVE, CKA.SIGN, CKA.DECRYPT)),
    binding: new Template(openedByHardened(CKA.SIGN)),
    kek: new Template(sessionKey(SEALED, CKA.WRAP)),
    appSKey: new Template(sessionKey(WRAPPABLE)),
    transport: new Template(openedByHardened(CKA.UNWRAP)),
    passing: passingKey(),
    generatedRoot: generatedKey(16),
    derived: {
      wrap: derivedKey(WRAPPABLE),
      read: derivedKey(READABLE),
      mac: derivedKey(SEALED, CKA.SIGN),
      decrypt: derivedKey(SEALED, CKA.DECRYPT),
    },
  }
}

export type HotTemplates = ReturnType<typeof hotTemplates>

/** A derived key needs its length named; an unwrapped one may not have it named (SoftHSM2: CKR_ATTRIBUTE_READ_ONLY). */
function derivedKey(level: Secrecy, ...allowed: readonly Use[]): Template {
  return new Template([...sessionKey(level, ...allowed), [CKA.VALUE_LEN, 16]])
}

const RSA_BITS = 3072
const RSA_EXPONENT = Uint8Array.of(1, 0, 1)
/** OBJECT IDENTIFIER 1.3.101.112, id-Ed25519 (RFC 8410). */
const ED25519_PARAMETERS = Uint8Array.of(0x06, 0x03, 0x2b, 0x65, 0x70)

function privateHalf(type: number, label: string, use: Use, mechanism: number, more: Attributes = []): Attributes {
  return [
    [CKA.CLASS, CKO.PRIVATE_KEY],
    [CKA.KEY_TYPE, type],
    [CKA.TOKEN, true],
    [CKA.PRIVATE, true],
    [CKA.LABEL, Buffer.from(label)],
    ...secrecy(SEALED),
    [CKA.DECRYPT, false],
    [CKA.SIGN, use === CKA.SIGN],
    [CKA.UNWRAP, use === CKA.UNWRAP],
    ...more,
    [CKA.ALLOWED_MECHANISMS, { mechanisms: [mechanism] }],
    [CKA.COPYABLE, false],
    [CKA.MODIFIABLE, false],
  ]
}

function publicHalf(type: number, label: string): Attributes {
  return [
    [CKA.CLASS, CKO.PUBLIC_KEY],
    [CKA.KEY_TYPE, type],
    [CKA.TOKEN, true],
    [CKA.PRIVATE, false],
    [CKA.LABEL, Buffer.from(label)],
  ]
}

/** [public, private] of the RSA-3072 key that opens envelopes: C_UnwrapKey only, never C_Decrypt. */
export function importKeyPair(label: string): [Template, Template] {
  const publicKey = publicHalf(CKK.RSA, label)
  const opens: Attributes = [[CKA.UNWRAP_TEMPLATE, { template: OPENED_BY_IMPORT }]]
  return [
    new Template([...publicKey, [CKA.MODULUS_BITS, RSA_BITS], [CKA.PUBLIC_EXPONENT, RSA_EXPONENT]]),
    new Template(privateHalf(CKK.RSA, label, CKA.UNWRAP, CKM.RSA_PKCS_OAEP, opens)),
  ]
}

/** [public, private] of the Ed25519 key that signs receipt heads. */
export function receiptKeyPair(label: string): [Template, Template] {
  return [
    new Template([...publicHalf(CKK.EC_EDWARDS, label), [CKA.EC_PARAMS, ED25519_PARAMETERS]]),
    new Template(privateHalf(CKK.EC_EDWARDS, label, CKA.SIGN, CKM.EDDSA)),
  ]
}
