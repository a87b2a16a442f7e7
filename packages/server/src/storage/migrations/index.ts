import { INITIAL_SCHEMA } from './001-initial.ts'
import { OPERATOR_PUBLIC_KEY } from './002-operator.ts'

/** Every migration, in order: the one at index n makes version n + 1. Append; never change one that was released. */
export const MIGRATIONS: readonly string[] = [INITIAL_SCHEMA, OPERATOR_PUBLIC_KEY]
