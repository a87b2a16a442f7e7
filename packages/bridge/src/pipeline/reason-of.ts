import { ApplicationServerError } from '@mortise/application-server'
import { BridgeError } from '../errors.ts'

/** What a log may say of an error: our codes, and of others their kind alone, because their texts may hold anything. */
export function reasonOf(error: unknown): string {
  if (error instanceof BridgeError || error instanceof ApplicationServerError) return error.code
  return error instanceof Error ? error.name : 'unknown'
}
