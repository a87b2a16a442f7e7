/** Names of what a search found, without forms and files, each once. */
export function namesOf(found: readonly string[]): string[] {
  return [...new Set(found.map((hit) => hit.replace(/( reversed)? \([^)]*\).*$/, '')))]
}
