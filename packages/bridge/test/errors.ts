/** The `code` of what `act` throws or rejects with, or undefined when it does neither. */
export async function codeOf(act: () => unknown): Promise<unknown> {
  try {
    await act()
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error
  }
  return undefined
}
