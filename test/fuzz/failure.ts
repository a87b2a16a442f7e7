/** What the oracle objects to. `code` is short and stable, `detail` for people. */
export class OracleFailure extends Error {
  override readonly name = 'OracleFailure'
  readonly code: string
  readonly detail: string

  constructor(code: string, detail: string) {
    super(`${code}: ${detail}`)
    this.code = code
    this.detail = detail
  }
}

/** @throws OracleFailure unless `condition` holds */
export function demand(condition: boolean, code: string, detail: string): asserts condition {
  if (!condition) throw new OracleFailure(code, detail)
}
