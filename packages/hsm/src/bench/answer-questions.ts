import { HsmError } from '../errors.ts'
import { sayLastWords, tellable } from '../process/last-words.ts'
import { protectProcess } from '../process/protect.ts'
import { SecretFileError } from '../secret-file.ts'
import type { AnswerMessage, AskedMessage, Dialogue } from './dialogue.ts'

type Answerer<D extends Dialogue<D>> = {
  readonly [Name in keyof D]: (question: D[Name]['question']) => D[Name]['answer'] | Promise<D[Name]['answer']>
}

/** Makes this a process of the trust boundary that answers a benchmark, and ends with it. */
export function answerQuestions<D extends Dialogue<D>>(title: string, answerer: Answerer<D>): void {
  process.title = title
  sayLastWords()
  protectProcess((line) => process.stderr.write(`${title}: ${line}\n`))
  process.umask(0o077)
  let last = Promise.resolve()
  process.on('disconnect', () => process.exit())
  process.on('message', (message: AskedMessage) => {
    last = last.then(async () => {
      const answer = await answerTo<D>(answerer, message)
      process.send?.(answer)
    })
  })
}

async function answerTo<D extends Dialogue<D>>(answerer: Answerer<D>, message: AskedMessage): Promise<AnswerMessage> {
  const { name, question } = message
  try {
    if (!Object.hasOwn(answerer, name)) throw new HsmError('frame_malformed', 'question')
    return { kind: 'answered', answer: await answerer[name as keyof D](question) }
  } catch (error) {
    if (error instanceof HsmError) return { kind: 'refused', code: error.code, detail: error.detail }
    const detail = error instanceof SecretFileError ? `${error.message}: ${error.hint}` : tellable(error).message
    return { kind: 'refused', code: 'token_failed', detail }
  }
}
