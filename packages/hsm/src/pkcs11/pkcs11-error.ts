import { HsmError } from '../errors.ts'
import { CKR, CKR_NAMES } from './constants.ts'

/** What tokens answer to a blob that is not theirs or was changed. */
const DAMAGED: ReadonlySet<number> = new Set([
  CKR.WRAPPED_KEY_INVALID,
  CKR.WRAPPED_KEY_LEN_RANGE,
  CKR.ENCRYPTED_DATA_INVALID,
  CKR.ENCRYPTED_DATA_LEN_RANGE,
  CKR.DATA_INVALID,
  CKR.DATA_LEN_RANGE,
])
/** SoftHSM2 answers GENERAL_ERROR to a damaged blob, and so does a token that broke. */
const UNCLEAR: ReadonlySet<number> = new Set([CKR.GENERAL_ERROR, CKR.FUNCTION_FAILED, CKR.ARGUMENTS_BAD])

/**
 * What a PKCS #11 function returned instead of CKR_OK, as the error of the trust boundary. It names the function and
 * the return value, never an argument.
 */
export class Pkcs11Error extends HsmError {
  /** The C function, for example `C_UnwrapKey`. */
  readonly function: string
  /** The CK_RV number. */
  readonly rv: number
  /** The name of {@link rv}, for example `CKR_KEY_UNEXTRACTABLE`. */
  readonly rvName: string

  constructor(functionName: string, rv: number) {
    const rvName = CKR_NAMES[rv] ?? `CKR_0x${rv.toString(16)}`
    super('token_failed', `${functionName} answered ${rvName}`)
    this.function = functionName
    this.rv = rv
    this.rvName = rvName
  }

  /** Of C_UnwrapKey: whether it speaks of the blob, of the token, or could mean either. */
  get blobVerdict(): 'damaged' | 'unclear' | 'token' {
    if (DAMAGED.has(this.rv)) return 'damaged'
    return UNCLEAR.has(this.rv) ? 'unclear' : 'token'
  }
}
