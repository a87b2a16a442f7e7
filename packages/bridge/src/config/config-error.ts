import { BridgeError } from '../errors.ts'

/** Something in a configuration that cannot be used. Never holds what a secret file, or a member of its own name, says. */
export interface ConfigFault {
  /** Path of the member, such as `sinks[0].url`; empty for the file as a whole. */
  readonly member: string
  readonly problem: string
  readonly remedy: string
}

/** Why a configuration cannot be used; every section that is at fault is named once, and every file that is not there. */
export class BridgeConfigError extends BridgeError {
  readonly faults: readonly ConfigFault[]

  constructor(file: string, faults: readonly ConfigFault[]) {
    super('config_invalid', faults.map((fault) => describeFault(file, fault)).join('\n'))
    this.faults = faults
  }
}

/** Ends the reading of one section. */
export class SectionFault extends Error {
  override readonly name = 'SectionFault'
  readonly fault: ConfigFault

  constructor(fault: ConfigFault) {
    super(fault.problem)
    this.fault = fault
  }
}

function describeFault(file: string, { member, problem, remedy }: ConfigFault): string {
  return `${file}: ${member === '' ? '' : `${member}: `}${problem}. What to do: ${remedy}`
}
