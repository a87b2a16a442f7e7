import { spawn } from 'node:child_process'
import { BIN, type Transcript } from './mortise.ts'

const TIMEOUT_MS = 30_000

/**
 * Runs a command with a terminal, made by `script` (Debian's bsdutils), and types an answer whenever it asks: when what it
 * says ends with a colon. Both outputs come as one.
 */
export async function withTerminal(words: readonly string[], answers: readonly string[]): Promise<Transcript> {
  const command = [process.execPath, BIN, ...words].map((word) => `'${word}'`).join(' ')
  const child = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] })
  const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS)
  const left = [...answers]
  // The command may end before the last answer is read.
  child.stdin.on('error', () => undefined)
  let stdout = ''
  let answered = 0
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString()
    // The question may come in pieces; that the cursor is set behind it, comes last.
    if (left.length === 0 || !/: \u001b\[\d+G$/.test(stdout.slice(answered))) return
    answered = stdout.length
    child.stdin.write(`${left.shift()}\r`)
  })
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', resolve)
    })
    return { code, stdout, stderr: '' }
  } finally {
    clearTimeout(timer)
  }
}
