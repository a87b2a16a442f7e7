/** JSON without white space and with its members in order (ADR 003). */
export function canonicalJson(bytes: Buffer): string {
  return JSON.stringify(JSON.parse(bytes.toString()), (_name, member: unknown) =>
    typeof member !== 'object' || member === null || Array.isArray(member)
      ? member
      : Object.fromEntries(Object.entries(member).sort(([one], [other]) => (one < other ? -1 : 1))),
  )
}
