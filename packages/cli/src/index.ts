export {
  type CertificateAndKey,
  certificateFingerprint,
  createCa,
  issueClientCertificate,
  issueServerCertificate,
} from './certificates.ts'
export { openOperator, type Operator, type PinnedHsm } from './operator.ts'
export { OrderDesk, type OrderMaterial } from './orders.ts'
export { HttpAdministration, type HttpAdministrationOptions } from './api/http-administration.ts'
export { testKit, type TestOptions } from './kit/run-checks.ts'
/** The launcher, for whoever starts commands. */
export const MORTISE_BIN = new URL('../bin/mortise', import.meta.url)
