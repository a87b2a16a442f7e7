import { HsmError } from '../errors.ts'
import { CKA, CKO } from './constants.ts'
import type { ObjectHandle, Pkcs11Session } from './session.ts'

/** The objects that outlive a session, and what their labels end with. */
export const OBJECT_LABELS = {
  rootUse: 'root-use',
  session: 'session',
  escrow: 'escrow',
  import: 'import',
  receipt: 'receipt',
} as const

export type ObjectName = keyof typeof OBJECT_LABELS

export type TokenObjects = Readonly<Record<ObjectName, ObjectHandle>>

export function objectLabel(objectPrefix: string, name: ObjectName): string {
  return `${objectPrefix}-${OBJECT_LABELS[name]}`
}

/**
 * Handles of the five keys. SoftHSM2 searches linearly, so this is done once for each session.
 * @throws HsmError token_failed when one is missing or there are two
 */
export function findTokenObjects(session: Pkcs11Session, objectPrefix: string): TokenObjects {
  const find = (name: ObjectName, objectClass: number) => findOne(session, objectClass, objectLabel(objectPrefix, name))
  return {
    rootUse: find('rootUse', CKO.SECRET_KEY),
    session: find('session', CKO.SECRET_KEY),
    escrow: find('escrow', CKO.SECRET_KEY),
    import: find('import', CKO.PRIVATE_KEY),
    receipt: find('receipt', CKO.PRIVATE_KEY),
  }
}

function findOne(session: Pkcs11Session, objectClass: number, label: string): ObjectHandle {
  const [object, ...others] = session.find([
    [CKA.CLASS, objectClass],
    [CKA.TOKEN, true],
    [CKA.LABEL, Buffer.from(label)],
  ])
  const where = `token "${session.slot.label}"`
  if (object === undefined) {
    throw new HsmError('token_failed', `${where} has no key labelled "${label}": is it the token of this HSM?`)
  }
  // A second one was put there by someone else with the PIN; which of them is ours cannot be known here.
  if (others.length > 0) {
    throw new HsmError('token_failed', `${where} has ${others.length + 1} keys labelled "${label}", expected one`)
  }
  return object
}

/** Labels in the token that begin with `objectPrefix` and a hyphen. */
export function labelsInUse(session: Pkcs11Session, objectPrefix: string): string[] {
  const labels = session.find([[CKA.TOKEN, true]]).map((object) => session.attribute(object, CKA.LABEL).toString())
  return [...new Set(labels.filter((label) => label.startsWith(`${objectPrefix}-`)))]
}
