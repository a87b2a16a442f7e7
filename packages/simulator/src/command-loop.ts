import type { Readable, Writable } from 'node:stream'
import { readLines } from './json-lines.ts'
import { Members } from './members.ts'

/** Does one command; what it returns is the JSON of the answer's `result`. */
export type Command = (members: Members) => object | Promise<object>

/** As many commands are under way at once; further lines wait in the pipe. */
const MAX_CONCURRENT_COMMANDS = 64

/**
 * Answers commands line by line until the input ends: `{"id": 1, "command": "…", …}` with
 * `{"id": 1, "ok": true, "result": {…}}` or `{"id": 1, "ok": false, "error": {"code": "…", "message": "…"}}`. Answers
 * may overtake one another; `id` is a number of the asker's choice and tells them apart.
 */
export async function serveCommands(
  input: Readable,
  output: Writable,
  commands: Readonly<Record<string, Command>>,
): Promise<void> {
  const underWay = new Set<Promise<void>>()
  for await (const line of readLines(input)) {
    const task = answerLine(line, commands).then((answer) => {
      output.write(`${answer}\n`)
      underWay.delete(task)
    })
    underWay.add(task)
    if (underWay.size >= MAX_CONCURRENT_COMMANDS) await Promise.race(underWay)
  }
  await Promise.all(underWay)
}

async function answerLine(line: string, commands: Readonly<Record<string, Command>>): Promise<string> {
  let id: number | undefined
  try {
    const members = Members.parse(line)
    id = members.number('id')
    const name = members.text('command')
    const command = Object.hasOwn(commands, name) ? commands[name] : undefined
    if (command === undefined) return failure(id, 'command_unknown', 'There is no such command.')
    return JSON.stringify({ id, ok: true, result: await command(members) })
  } catch (error) {
    if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
      return failure(id, error.code, error.message)
    }
    console.error(error)
    return failure(id, 'internal', 'This is a fault of the program; see its standard error.')
  }
}

function failure(id: number | undefined, code: string, message: string): string {
  return JSON.stringify({ id, ok: false, error: { code, message } })
}
