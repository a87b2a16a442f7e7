/** The `code` of what `act` throws, or undefined when it throws nothing or an error without code. */
export function codeThrownBy(act: () => unknown): unknown {
  try {
    act()
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error
  }
  return undefined
}
