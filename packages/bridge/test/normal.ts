/** For comparing: bytes of every kind as hexadecimal text, and absent members left out. */
export function normal(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_name, member: unknown) => (isBytes(member) ? hex(member) : member)))
}

type Bytes = Uint8Array | { readonly data: readonly number[] }

function hex(bytes: Bytes): string {
  return Buffer.from(bytes instanceof Uint8Array ? bytes : bytes.data).toString('hex')
}

/** A Buffer comes here as what its toJSON made of it. */
function isBytes(value: unknown): value is Bytes {
  if (value instanceof Uint8Array) return true
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer'
}

export function without(object: object, names: readonly string[]): object {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)))
}
