import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { parseDocument } from 'yaml'
import { SectionFault } from './config-error.ts'

/** A fleet of some ten thousand devices that are named one by one fits. */
const MAX_CONFIG_BYTES = 1_048_576

/** What a YAML file holds. What it says is not repeated in a fault: it may be a secret in the wrong place. @throws SectionFault */
export async function readYamlFile(path: string): Promise<unknown> {
  const document = parseDocument(await readText(path), { logLevel: 'error', prettyErrors: true })
  // What the library only warns of, an unknown tag for instance, would be a member that means something else.
  const [fault] = [...document.errors, ...document.warnings]
  if (fault !== undefined) {
    const line = fault.linePos?.[0].line
    throw ofFile(`is not YAML${line === undefined ? '' : ` (line ${line})`}`, 'mend that line; indentation counts')
  }
  try {
    return document.toJS() as unknown
  } catch {
    throw ofFile('has aliases that cannot be followed', 'write the values out')
  }
}

async function readText(path: string): Promise<string> {
  try {
    // A named pipe would otherwise be waited for.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const stats = await file.stat()
    if (!stats.isFile()) throw ofFile('is not a file', 'name the file that `mortise bridge init` wrote')
    if (stats.size > MAX_CONFIG_BYTES) throw ofFile(`is larger than ${MAX_CONFIG_BYTES} bytes`, 'is it the right file?')
    return await file.readFile('utf8')
  } catch (error) {
    if (error instanceof SectionFault) throw error
    throw ofFile('cannot be read', 'check its name and its owner; `mortise bridge init` writes one')
  }
}

function ofFile(problem: string, remedy: string): SectionFault {
  return new SectionFault({ member: '', problem, remedy })
}
