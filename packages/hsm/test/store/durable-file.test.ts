import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readLimited, writeDurably } from '../../src/store/durable-file.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mortise-durable-'))
})
afterEach(() => {
  rmSync(directory, { recursive: true })
})

describe('writeDurably', () => {
  it('writes a file that only its owner may read, and leaves nothing beside it', () => {
    const path = join(directory, 'store')
    writeDurably(path, Buffer.from('first'))
    writeDurably(path, Buffer.from('second'))
    expect(readFileSync(path, 'utf8')).toBe('second')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readdirSync(directory)).toEqual(['store'])
  })

  it('writes with the mode that it is told', () => {
    const path = join(directory, 'public')
    writeDurably(path, Buffer.from('key'), 0o400)
    expect(statSync(path).mode & 0o777).toBe(0o400)
  })

  it('takes away what a killed writer left', () => {
    const path = join(directory, 'store')
    writeFileSync(`${path}.new`, 'half of', { mode: 0o666 })
    writeDurably(path, Buffer.from('whole'))
    expect(readFileSync(path, 'utf8')).toBe('whole')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readdirSync(directory)).toEqual(['store'])
  })

  it('does not write through a link that lies where it writes', () => {
    const path = join(directory, 'store')
    const elsewhere = join(directory, 'elsewhere')
    writeFileSync(elsewhere, 'untouched')
    symlinkSync(elsewhere, `${path}.new`)
    writeDurably(path, Buffer.from('secret'))
    expect(readFileSync(elsewhere, 'utf8')).toBe('untouched')
    expect(readFileSync(path, 'utf8')).toBe('secret')
  })

  it('leaves the old content and nothing beside it when it fails', () => {
    const path = join(directory, 'taken')
    mkdirSync(path)
    writeFileSync(join(path, 'inside'), 'old')
    expect(() => {
      writeDurably(path, Buffer.from('new'))
    }).toThrow(/EISDIR|ENOTEMPTY|EEXIST/)
    expect(readFileSync(join(path, 'inside'), 'utf8')).toBe('old')
    expect(readdirSync(directory)).toEqual(['taken'])
  })
})

describe('a writer that is killed', () => {
  it('leaves a whole file every time, and the next writer goes on', async () => {
    const path = join(directory, 'store')
    const module = join(import.meta.dirname, '../../src/store/durable-file.ts')
    const script = `
      import { writeDurably } from ${JSON.stringify(module)}
      for (let i = 0; ; i = (i + 1) % 256) {
        writeDurably(${JSON.stringify(path)}, Buffer.alloc(1_000_000, i))
        process.stdout.write('.')
      }`
    for (let kill = 0; kill < 5; kill++) {
      const writer = spawn(process.execPath, ['--input-type=module', '--eval', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      await once(writer.stdout, 'data')
      await setTimeout(5 + 7 * kill)
      writer.kill('SIGKILL')
      await once(writer, 'close')
      const content = readFileSync(path)
      expect(content).toHaveLength(1_000_000)
      expect(content.equals(Buffer.alloc(1_000_000, content.readUInt8(0)))).toBe(true)
    }
    writeDurably(path, Buffer.from('next'))
    expect(readdirSync(directory)).toEqual(['store'])
  })
})

describe('readLimited', () => {
  it.each([0, 1, 1000, 64 * 1024, 200_000])('reads a file of %i bytes that is exactly at the limit', (size) => {
    const path = join(directory, 'file')
    const bytes = randomBytes(size)
    writeFileSync(path, bytes)
    expect(readLimited(path, size)).toEqual(bytes)
    expect(readLimited(path, size + 1)).toEqual(bytes)
  })

  it.each([1, 1000, 200_000])('refuses a file of %i bytes that is one byte above the limit', (size) => {
    const path = join(directory, 'file')
    writeFileSync(path, randomBytes(size))
    expect(() => readLimited(path, size - 1)).toThrow('store_damaged')
  })

  it('refuses a device that never ends', () => {
    expect(() => readLimited('/dev/zero', 100_000)).toThrow('store_damaged')
  })

  it('says which file is missing', () => {
    expect(() => readLimited(join(directory, 'none'), 10)).toThrow(/ENOENT.*none/)
  })
})
