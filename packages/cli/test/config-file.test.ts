import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readConfigFile } from '../src/config-file.ts'
import { Workplace } from './mortise.ts'

let place: Workplace
beforeEach(() => {
  place = new Workplace()
})
afterEach(() => {
  place[Symbol.dispose]()
})

describe('mortise.yaml', () => {
  test('holds the options of serve; file names are relative to it', () => {
    const path = place.secret(
      'mortise.yaml',
      'passphraseFile: passphrase\nbiListen: 0.0.0.0:8443\napiListen: "[::1]:8444"\nbiPath: [/js, /bi]\nworkers: 2\n' +
        'tlsCert: tls/own.pem\ntlsKey: /etc/own.key\n',
    )
    expect(readConfigFile(path)).toEqual({
      passphraseFile: place.path('passphrase'),
      biListen: '0.0.0.0:8443',
      apiListen: '[::1]:8444',
      biPath: ['/js', '/bi'],
      workers: 2,
      tlsCert: place.path('tls/own.pem'),
      tlsKey: '/etc/own.key',
    })
  })

  test('may be absent or empty', () => {
    expect(readConfigFile(place.path('mortise.yaml'))).toEqual({})
    expect(readConfigFile(place.secret('mortise.yaml', '# nothing yet\n'))).toEqual({})
  })

  test.each([
    ['an option that serve does not have', 'passphrase: secret\n', 'passphrase is no option of serve'],
    ['a list', '- a\n', 'options as `name: value` expected'],
    ['a number where text belongs', 'biListen: 8443\n', 'biListen must be text'],
    ['broken YAML', 'biListen: [\n', 'is not YAML'],
    ['half a worker', 'workers: 1.5\n', 'workers must be a whole number'],
  ])('is refused with %s', (_what, content, message) => {
    expect(() => readConfigFile(place.secret('mortise.yaml', content))).toThrow(message)
  })
})
