import { writeSync } from 'node:fs'
import { WatchedCertificate } from '../../../src/http/certificates-watch.ts'

/** Watches the certificate and the key that are its arguments, and writes what is logged, until it is killed. */
const [certificate = '', key = ''] = process.argv.slice(2)
const log = (line: string): void => {
  writeSync(1, `${line}\n`)
}
const watched = new WatchedCertificate({ certificate, key }, { log, names: [], retryMs: 300 })
setInterval(() => watched.certificate, 1000)
log('watching')
