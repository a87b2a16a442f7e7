import type { HsmClientState } from '@mortise/hsm'
import type { StorageErrorCode } from '../storage/index.ts'
import { expiryWarnings, type InstalledCertificate } from './certificates.ts'
import type { AdministrationError } from './errors.ts'

export interface WarningFacts {
  /** Undefined where no server runs. */
  readonly hsmState: HsmClientState | undefined
  /** SPKI, DER; undefined where the database does not know it. */
  readonly operator: Buffer | undefined
  /** As the HSM names it; undefined until the HSM was first reached. */
  readonly hsmOperator: Buffer | undefined
  /** The HSM has carried out an order of the operator that is not in the database, where orders are before they go there. */
  readonly hsmKnowsMoreOrders: boolean
  /** Why commits are refused now. */
  readonly databaseFailure: StorageErrorCode | undefined
  /** What keeps the first waiting order from being adopted. */
  readonly obstacle: AdministrationError | undefined
  readonly certificates: readonly InstalledCertificate[]
  readonly nowMs: number
}

/** What an operator should look after, one sentence each. */
export function warningsOf(facts: WarningFacts): string[] {
  const { hsmState, operator, hsmOperator, hsmKnowsMoreOrders, databaseFailure, obstacle, certificates, nowMs } = facts
  const warnings: string[] = []
  if (hsmState === 'sealed') warnings.push('The HSM is sealed: no device can join. Open it with `mortise unseal`.')
  if (hsmState === 'rolled-back')
    warnings.push(
      'The key store is older than the database: no device can join until the operator says `mortise accept-rollback`.',
    )
  if (databaseFailure !== undefined)
    warnings.push(`Commits to the database fail (${databaseFailure}): no device can join.`)
  if (hsmKnowsMoreOrders)
    warnings.push(
      'The HSM has carried out orders that the database does not know: it is an older copy. Nonces that were used after ' +
        'it was made may be used again.',
    )
  if (operator === undefined) warnings.push('The database does not know the operator key: no order is taken.')
  else if (hsmOperator !== undefined && !hsmOperator.equals(operator))
    warnings.push('The HSM obeys another operator key than the one in the database: no order is taken.')
  if (obstacle !== undefined) warnings.push(`An order waits because of ${obstacle.message}.`)
  return [...warnings, ...expiryWarnings(certificates, nowMs)]
}
