import { resolve } from 'node:path'
import { SectionFault } from './config-error.ts'

/** A name that may be repeated in an error: what is longer could be a key in the wrong place. */
const PRESENTABLE = /^[A-Za-z][A-Za-z0-9_-]{0,23}$/
const SECRET_FILES: Readonly<Record<string, string>> = {
  password: 'passwordFile',
  token: 'tokenFile',
  key: 'keyFile',
  kek: 'keyFile',
}
const MAX_TEXT_LENGTH = 4096

/** Members of one mapping of the configuration, with its place in it. Whatever is not known is refused. */
export class Section {
  readonly path: string
  readonly directory: string
  readonly #members: Readonly<Record<string, unknown>>

  /** @throws SectionFault when it is no mapping, or has a member that is not known */
  constructor(value: unknown, path: string, directory: string, known: readonly string[]) {
    this.path = path
    this.directory = directory
    this.#members = mapping(value, path)
    const unknown = Object.keys(this.#members).find((name) => !known.includes(name))
    if (unknown !== undefined) this.#refuseUnknown(unknown, known)
  }

  has(name: string): boolean {
    const value = this.#members[name]
    return value !== undefined && value !== null
  }

  /** Whatever stands there; undefined when nothing does. */
  value(name: string): unknown {
    return this.#members[name] ?? undefined
  }

  section(name: string, known: readonly string[]): Section | undefined {
    return this.has(name) ? new Section(this.value(name), this.pathOf(name), this.directory, known) : undefined
  }

  text(name: string, remedy: string): string {
    return this.optionalText(name) ?? this.fault(name, 'is missing', remedy)
  }

  optionalText(name: string): string | undefined {
    const value = this.value(name)
    if (value === undefined) return undefined
    if (typeof value !== 'string') return this.fault(name, 'must be text', 'put it into quotation marks')
    if (value.trim() === '') return this.fault(name, 'is empty', 'write it, or leave the member out')
    if (value.length > MAX_TEXT_LENGTH) return this.fault(name, 'is too long', `at most ${MAX_TEXT_LENGTH} characters`)
    return value
  }

  /** A file's name, made absolute: it is relative to the configuration. */
  file(name: string): string | undefined {
    const text = this.optionalText(name)
    return text === undefined ? undefined : resolve(this.directory, text)
  }

  choice<const Choice extends string>(name: string, choices: readonly Choice[], usual?: Choice): Choice {
    const remedy = `write one of: ${choices.join(', ')}`
    const text = usual === undefined ? this.text(name, remedy) : (this.optionalText(name) ?? usual)
    return choices.find((choice) => choice === text) ?? this.fault(name, 'is none of its values', remedy)
  }

  /** Absent is false. */
  flag(name: string): boolean {
    const value = this.value(name) ?? false
    if (typeof value === 'boolean') return value
    return this.fault(name, 'must be true or false', 'write it without quotation marks')
  }

  integer(name: string, min: number, max: number, usual: number): number {
    const value = this.value(name) ?? usual
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value
    return this.fault(name, 'is not a number that can be used', `write a whole number from ${min} to ${max}`)
  }

  /** Absent is empty. */
  list(name: string, most: number): readonly unknown[] {
    const value = this.value(name) ?? []
    if (!Array.isArray(value)) return this.fault(name, 'must be a list', 'begin each entry with "- "')
    if (value.length > most) return this.fault(name, 'has too many entries', `at most ${most}`)
    return value
  }

  texts(name: string, most: number): readonly string[] {
    return this.list(name, most).map((item) => {
      if (typeof item === 'string' && item !== '' && item.length <= MAX_TEXT_LENGTH) return item
      return this.fault(name, 'must be a list of texts', 'put each entry into quotation marks')
    })
  }

  pathOf(name: string): string {
    return this.path === '' ? name : `${this.path}.${name}`
  }

  /** @throws SectionFault always */
  fault(name: string, problem: string, remedy: string): never {
    throw new SectionFault({ member: this.pathOf(name), problem, remedy })
  }

  #refuseUnknown(name: string, known: readonly string[]): never {
    const file = SECRET_FILES[name]
    if (file !== undefined && known.includes(file))
      return this.fault(
        name,
        'is a secret, which has no place in this file',
        `write it to a file, and name it: ${file}`,
      )
    const remedy = `it may hold: ${known.join(', ')}`
    if (PRESENTABLE.test(name)) return this.fault(name, 'there is no such member', remedy)
    throw new SectionFault({
      member: this.path,
      problem: 'has a member that there is not (its name is not shown)',
      remedy,
    })
  }
}

function mapping(value: unknown, path: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new SectionFault({ member: path, problem: 'must have members', remedy: 'write them as `name: value`' })
}
