import { CliError } from '../errors.ts'
import { allowedCores } from './processes.ts'
import { findProgram } from './softhsm2.ts'

/** Roles of processes. */
export const SERVER = 'server'
export const SUPERVISOR = 'supervisor'
export const WORKER = 'worker'
export const GENERATOR = 'generator'

/** The core of each role; one that is not there may run anywhere. */
export type Layout = ReadonlyMap<string, number>

/** Everything runs where the kernel puts it. */
export const FREE: Layout = new Map()

/** Where processes run with `--pin`. */
export interface Layouts {
  /** Server and HSM processes on one core, the generator on the other. */
  readonly product: Layout
  /** The worker has a core of its own; everybody else shares the other. */
  readonly workerAlone: Layout
}

/** @throws CliError pin_impossible without taskset or a second core */
export function layouts(): Layouts {
  const [first, second] = allowedCores()
  if (first === undefined || second === undefined)
    throw new CliError('pin_impossible', '--pin needs two cores, and this process may use one only')
  if (findProgram('taskset') === undefined)
    throw new CliError('pin_impossible', '--pin needs taskset, which is not installed', {
      hint: 'apt-get install util-linux, or measure without --pin',
    })
  const product = { [SERVER]: first, [SUPERVISOR]: first, [WORKER]: first, [GENERATOR]: second }
  const workerAlone = { [SERVER]: first, [SUPERVISOR]: first, [GENERATOR]: first, [WORKER]: second }
  return { product: new Map(Object.entries(product)), workerAlone: new Map(Object.entries(workerAlone)) }
}
