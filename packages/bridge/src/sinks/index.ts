import { commandShape } from '../chirpstack/index.ts'
import type { BridgeConfig, SinkConfig, SourceConfig } from '../config.ts'
import { BridgeError } from '../errors.ts'
import type { Log } from '../log.ts'
import { brokerName } from '../mqtt/index.ts'
import type { Sink } from '../sink.ts'
import { TheThingsStackCommands } from '../the-things-stack/index.ts'
import { CommandInbox, type CommandShape } from './command-inbox.ts'
import { HttpSink } from './http-sink.ts'
import { MqttSink } from './mqtt-sink.ts'
import { StdoutSink } from './stdout-sink.ts'

/**
 * Where readings go; not begun yet. `log` is told of commands that are dropped.
 * @throws {BridgeError} `config_invalid`
 */
export function createSinks({ source, sinks }: Pick<BridgeConfig, 'source' | 'sinks'>, log: Log): Sink[] {
  const created = sinks.map((config) => createSink(config, source, log))
  const names = new Set(created.map(({ name }) => name))
  if (names.size < created.length) throw invalid('two of them are the same')
  return created
}

function createSink(config: SinkConfig, source: SourceConfig, log: Log): Sink {
  switch (config.kind) {
    case 'stdout':
      return new StdoutSink(process.stdout)
    case 'http':
      return new HttpSink({ ...config, contentType: contentTypeOf(source) })
    case 'mqtt':
      return createMqttSink(config, source, log)
  }
}

function createMqttSink(config: SinkConfig & { kind: 'mqtt' }, source: SourceConfig, log: Log): Sink {
  const { mqtt: address, shape, topic } = config
  const from = source.mqtt
  const sameBroker = from !== undefined && brokerName(from) === brokerName(address)
  if (sameBroker && from.clientId === address.clientId)
    throw invalid('a sink has the clientId of the source at one broker')
  if (shape === 'reading') return new MqttSink({ address, form: { shape, topic } })
  if (sameBroker) throw invalid('the source would read again what a sink of shape source publishes on its broker')
  return new MqttSink({ address, form: { shape, inbox: new CommandInbox(commandsOf(source), log) } })
}

function commandsOf({ kind, encoding }: SourceConfig): CommandShape {
  return kind === 'chirpstack' ? commandShape(encoding) : new TheThingsStackCommands()
}

function contentTypeOf({ kind, encoding }: SourceConfig): string {
  return kind === 'chirpstack' && encoding === 'protobuf' ? 'application/octet-stream' : 'application/json'
}

function invalid(message: string): BridgeError {
  return new BridgeError('config_invalid', `sinks: ${message}.`)
}
