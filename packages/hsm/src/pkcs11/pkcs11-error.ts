import { CKR_NAMES } from './constants.ts'

/** What a PKCS #11 function returned instead of CKR_OK. It carries no argument of the call. */
export class Pkcs11Error extends Error {
  override readonly name = 'Pkcs11Error'
  /** The C function, for example `C_UnwrapKey`. */
  readonly function: string
  /** The CK_RV number. */
  readonly rv: number
  /** The name of {@link rv}, for example `CKR_KEY_UNEXTRACTABLE`. */
  readonly rvName: string

  constructor(functionName: string, rv: number) {
    const rvName = CKR_NAMES[rv] ?? `CKR_0x${rv.toString(16)}`
    super(`${functionName}: ${rvName}`)
    this.function = functionName
    this.rv = rv
    this.rvName = rvName
  }
}
