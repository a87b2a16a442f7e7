import { createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { HsmError } from '../../src/errors.ts'
import { createSoftKeys } from '../../src/soft/create-keys.ts'
import { decodeRecoveryFile, encodeRecoveryFile, type RecoveryContent } from '../../src/store/recovery-file.ts'

const recoveryKey = randomBytes(32)
const created = createSoftKeys({ recoveryKey })
const content: RecoveryContent = {
  hsmId: randomBytes(8),
  storageKeyId: randomBytes(8),
  createdAt: '2026-01-02T03:04:05.678Z',
  blobs: created.recovery,
  checkValues: created.checkValues,
}
const file = encodeRecoveryFile(recoveryKey, content)

describe('the recovery file', () => {
  it('gives back what was written, and the same storage keys', () => {
    const read = decodeRecoveryFile(recoveryKey, file)
    expect(read).toEqual(content)
    expect(createSoftKeys({ recoveryKey, from: read.blobs }).recovery).toEqual(created.recovery)
  })

  it('has a tag that others can compute', () => {
    const { tag, ...body } = JSON.parse(file.toString()) as Record<string, unknown>
    const key = Buffer.from(hkdfSync('sha256', recoveryKey, Buffer.alloc(0), 'mortise recovery file 1', 32))
    expect(tag).toBe(createHmac('sha256', key).update(JSON.stringify(body)).digest('hex'))
    expect(body['format']).toBe('mortise-recovery-1')
  })

  it('may be set with other space between its members', () => {
    const compact = Buffer.from(JSON.stringify(JSON.parse(file.toString())))
    expect(decodeRecoveryFile(recoveryKey, compact)).toEqual(content)
  })

  it.each([
    ['another key', randomBytes(32)],
    ['a key of another size', randomBytes(16)],
  ])('refuses %s as the wrong key', (_name, key) => {
    expect(refusal(key, file)?.code).toBe('wrong_passphrase')
    expect(refusal(recoveryKey, file)).toBeUndefined()
  })

  it('refuses every changed digit as damage', () => {
    const text = file.toString()
    for (const { index, 0: digit } of text.matchAll(/[0-9](?=[^"]*"[,\n])/g)) {
      const changed = text.slice(0, index) + String((Number(digit) + 1) % 10) + text.slice(index + 1)
      expect(refusal(recoveryKey, Buffer.from(changed))?.code).toBe('store_damaged')
    }
  })

  it('refuses swapped blobs, an unknown member and a missing one', () => {
    const parsed = JSON.parse(file.toString()) as Record<string, Record<string, string>>
    const { rootUse, session } = parsed['blobs']!
    const swapped = { ...parsed, blobs: { ...parsed['blobs'], rootUse: session, session: rootUse } }
    const untagged = { ...parsed, tag: undefined }
    for (const wrong of [swapped, { ...parsed, more: 1 }, untagged])
      expect(refusal(recoveryKey, Buffer.from(JSON.stringify(wrong)))?.code).toBe('store_damaged')
  })

  it('refuses a file that is cut, empty, too large or of another format', () => {
    const other = Buffer.from(file.toString().replace('mortise-recovery-1', 'mortise-recovery-2'))
    for (const wrong of [
      file.subarray(0, 100),
      Buffer.alloc(0),
      Buffer.concat([file, Buffer.alloc(70_000, 0x20)]),
      other,
    ])
      expect(refusal(recoveryKey, wrong)?.code).toBe('store_damaged')
  })

  it('holds no storage key in clear', () => {
    const { rootUse, session, binding, escrow } = created.settings
    for (const key of [rootUse, session, binding, escrow, recoveryKey])
      expect(file.toString()).not.toContain(key.toString('hex'))
    expect(file.toString()).toContain(created.recovery.rootUse.toString('hex'))
  })
})

function refusal(key: Buffer, bytes: Buffer): HsmError | undefined {
  try {
    decodeRecoveryFile(key, bytes)
    return undefined
  } catch (error) {
    if (error instanceof HsmError) return error
    throw error
  }
}
