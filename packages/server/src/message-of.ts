/** What is told of a failure in a log line. What is no Error says nothing that anybody chose to be told. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown'
}
