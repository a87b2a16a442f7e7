import { type Authorization, authorizationHeader } from '@mortise/backend-interfaces'
import { describe, expect, it } from 'vitest'

describe('authorizationHeader', () => {
  it.each<[Authorization, Record<string, string>]>([
    [{ kind: 'bearer', token: 'xyz' }, { authorization: 'Bearer xyz' }],
    // RFC 7617 §2.
    [
      { kind: 'basic', username: 'Aladdin', password: 'open sesame' },
      { authorization: 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==' },
    ],
    // RFC 7617 §2.1, in UTF-8.
    [{ kind: 'basic', username: 'test', password: '123\u00a3' }, { authorization: 'Basic dGVzdDoxMjPCow==' }],
    [{ kind: 'header', name: 'X-API-Key', value: 'a b' }, { 'x-api-key': 'a b' }],
    [{ kind: 'header', name: 'Authorization', value: 'Key abc' }, { authorization: 'Key abc' }],
  ])('of %j', (authorization, header) => {
    expect(authorizationHeader(authorization)).toEqual(header)
  })

  it.each<[string, Authorization]>([
    ['a token with a line break', { kind: 'bearer', token: 'secret\r\nX: y' }],
    ['a token that ends in a blank', { kind: 'bearer', token: 'secret ' }],
    ['a user name with a colon', { kind: 'basic', username: 'sec:ret', password: '' }],
    ['an empty value', { kind: 'header', name: 'X-Key', value: '' }],
    ['a value that is not ASCII', { kind: 'header', name: 'X-Key', value: 'secrét' }],
    ['a name with a blank', { kind: 'header', name: 'X Key', value: 'secret' }],
    ['an empty name', { kind: 'header', name: '', value: 'secret' }],
    ['the name of the body’s length', { kind: 'header', name: 'Content-Length', value: '1' }],
    ['the name Host', { kind: 'header', name: 'host', value: 'secret' }],
  ])('refuses %s, and does not repeat it', (_, authorization) => {
    expect(() => authorizationHeader(authorization)).toThrow(TypeError)
    expect(() => authorizationHeader(authorization)).not.toThrow(/secr|sec:/)
  })
})
