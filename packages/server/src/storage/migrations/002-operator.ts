/** The operator's public key (SPKI, DER): orders are verified with it before the HSM is asked. NULL in what is older. */
export const OPERATOR_PUBLIC_KEY = `
ALTER TABLE meta ADD COLUMN operator_public_key BLOB;
`
