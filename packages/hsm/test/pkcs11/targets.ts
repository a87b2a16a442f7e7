import { createPublicKey, randomBytes } from 'node:crypto'
import { CKA, CKK, CKM, CKO } from '../../src/pkcs11/constants.ts'
import { createPkcs11Keys } from '../../src/pkcs11/create-keys.ts'
import { findTokenObjects } from '../../src/pkcs11/token-objects.ts'
import { type Attributes, Mechanism, Template } from '../../src/pkcs11/structures.ts'
import { openPkcs11Token } from '../../src/pkcs11/token.ts'
import { CHECK_TEXT } from '../../src/token/token.ts'
import { aesCmac, keyUnwrap, keyWrap, sealTransport } from '../soft/crypto-oracle.ts'
import type { Attacker } from './attacker.ts'
import type { Target } from './attacks.ts'
import { PIN_TEXT, TOKEN_LABEL } from './softhsm.ts'

const AES: Attributes = [
  [CKA.CLASS, CKO.SECRET_KEY],
  [CKA.KEY_TYPE, CKK.AES],
]

/** How Mortise asks for a root key: the attacker knows the source code. */
const OPENED_ROOT: Attributes = [
  ...AES,
  [CKA.SENSITIVE, true],
  [CKA.EXTRACTABLE, false],
  [CKA.ENCRYPT, false],
  [CKA.DECRYPT, true],
  [CKA.SIGN, true],
  [CKA.DERIVE, true],
  [CKA.WRAP, false],
  [CKA.MODIFIABLE, false],
]
const OPENED_TRANSPORT: Attributes = [
  ...AES,
  [CKA.SENSITIVE, true],
  [CKA.EXTRACTABLE, false],
  [CKA.UNWRAP, true],
  [CKA.MODIFIABLE, false],
]

/** The keys that createPkcs11Keys makes, with a root key and an AppSKey that came in or were made in the normal way. */
export function realTarget(module: string, objectPrefix: string, attacker: Attacker): Target {
  const pin = Buffer.from(PIN_TEXT)
  const recoveryKey = randomBytes(32)
  const created = createPkcs11Keys({ module, tokenLabel: TOKEN_LABEL, objectPrefix, pin, recoveryKey })
  const rootKey = randomBytes(16)
  const envelope = sealed(created.importPublicKey, rootKey)
  using token = openPkcs11Token(created.settings, pin)
  const root = token.importRoot(token.openTransport(envelope.transport), envelope.wrapped)
  const appSKeyBlob = token.wrapForStorage(token.derive(token.openRoot(root.rootUse), randomBytes(16), 'wrap'))
  return {
    attacker,
    keys: findTokenObjects(attacker.session, objectPrefix),
    root: { value: rootKey, ...root },
    appSKey: { value: keyUnwrap(keyUnwrap(recoveryKey, created.recovery.session), appSKeyBlob), blob: appSKeyBlob },
    binding: { blob: created.settings.bindingBlob, cmac: created.checkValues.bindingCmac },
    envelope,
    opens: { root: OPENED_ROOT, binding: OPENED_ROOT, transport: OPENED_TRANSPORT },
  }
}

const LAX: Attributes = [
  [CKA.SENSITIVE, false],
  [CKA.EXTRACTABLE, true],
]
const LAX_AES: Attributes = [
  ...AES,
  ...LAX,
  ...[CKA.ENCRYPT, CKA.DECRYPT, CKA.SIGN, CKA.DERIVE, CKA.WRAP, CKA.UNWRAP].map((use) => [use, true] as const),
]

/**
 * The accepted twin: the same kinds of keys with nothing forbidden. Every attack must succeed on these, which shows that
 * it is carried out properly and that the refusal on the real keys is the hardening's doing.
 */
export function laxTarget(attacker: Attacker): Target {
  const { session } = attacker
  const values = { rootUse: randomBytes(32), session: randomBytes(32), escrow: randomBytes(32) }
  const key = (value: Buffer) => session.createObject(new Template([...LAX_AES, [CKA.VALUE, value]]))
  const [root, appSKey, binding] = [randomBytes(16), randomBytes(16), randomBytes(32)]
  const importPair = laxPair(attacker, CKK.RSA, CKM.RSA_PKCS_KEY_PAIR_GEN, CKA.UNWRAP, [
    [CKA.MODULUS_BITS, 3072],
    [CKA.PUBLIC_EXPONENT, Uint8Array.of(1, 0, 1)],
  ])
  const curve: Attributes = [[CKA.EC_PARAMS, Uint8Array.of(0x06, 0x03, 0x2b, 0x65, 0x70)]]
  const receiptPair = laxPair(attacker, CKK.EC_EDWARDS, CKM.EC_EDWARDS_KEY_PAIR_GEN, CKA.SIGN, curve)
  return {
    attacker,
    keys: {
      rootUse: key(values.rootUse),
      session: key(values.session),
      escrow: key(values.escrow),
      import: importPair.privateKey,
      receipt: receiptPair.privateKey,
    },
    root: { value: root, rootUse: keyWrap(values.rootUse, root), escrow: keyWrap(values.escrow, root) },
    appSKey: { value: appSKey, blob: keyWrap(values.session, appSKey) },
    binding: { blob: keyWrap(values.rootUse, binding), cmac: aesCmac(binding, CHECK_TEXT) },
    envelope: sealed(importPair.spki(), randomBytes(16)),
    opens: { root: LAX_AES, binding: LAX_AES, transport: LAX_AES },
  }
}

function sealed(importPublicKey: Buffer, value: Buffer): Target['envelope'] {
  const transportKey = randomBytes(32)
  return { transport: sealTransport(importPublicKey, transportKey), wrapped: keyWrap(transportKey, value), value }
}

function laxPair({ session }: Attacker, type: number, generate: number, use: number, more: Attributes) {
  const publicHalf = new Template([[CKA.CLASS, CKO.PUBLIC_KEY], [CKA.KEY_TYPE, type], ...more])
  const privateHalf = new Template([
    [CKA.CLASS, CKO.PRIVATE_KEY],
    [CKA.KEY_TYPE, type],
    ...LAX,
    [use, true],
    [CKA.DECRYPT, type === CKK.RSA],
  ])
  const [publicKey, privateKey] = session.generateKeyPair(new Mechanism(generate), publicHalf, privateHalf)
  return { privateKey, spki: () => rsaPublicKey(session.attribute(publicKey, CKA.MODULUS)) }
}

function rsaPublicKey(modulus: Buffer): Buffer {
  const jwk = { kty: 'RSA', n: modulus.toString('base64url'), e: 'AQAB' }
  return createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'der' })
}
