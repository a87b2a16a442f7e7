/** One request to send, and what to make of its answer. */
export interface LoadExchange {
  /** The body of the request. */
  readonly body: string
  /** Reads the answer, after the time has been taken. @throws {WrongAnswerError} */
  check(answer: string): void
  /** No answer came. */
  abandon(): void
}

/** Where requests come from. */
export interface LoadSource {
  /** Undefined while everybody waits for an answer, or has one that was not read. */
  next(): LoadExchange | undefined
}
