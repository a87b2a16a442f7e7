import { X509Certificate } from 'node:crypto'
import { afterAll, expect, test } from 'vitest'
import { fitnessFor } from '../src/key-usage.ts'
import { TlsFiles } from './support/tls-files.ts'

const files = new TlsFiles()
afterAll(() => {
  files[Symbol.dispose]()
})

test.each([
  ['clientAuth', 'named', 'other'],
  ['serverAuth', 'other', 'named'],
  ['clientAuth,serverAuth', 'named', 'named'],
  ['clientAuth,anyExtendedKeyUsage', 'named', 'unlimited'],
  ['anyExtendedKeyUsage', 'unlimited', 'unlimited'],
  ['', 'unlimited', 'unlimited'],
  ['codeSigning', 'other', 'other'],
])('a certificate with the extended key usage "%s" is for clients: %s, for servers: %s', (usage, client, server) => {
  const certificate = new X509Certificate(files.make({ usage }).cert)
  expect([fitnessFor('client', certificate), fitnessFor('server', certificate)]).toEqual([client, server])
})
