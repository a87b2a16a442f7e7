import * as chirpStack from './chirpstack/index.ts'
import type { SourceConfig } from './config.ts'
import type { Log } from './log.ts'
import { MqttSource } from './mqtt/index.ts'
import type { EventShape } from './network-event.ts'
import type { DownlinkPath, Source } from './source.ts'
import * as theThingsStack from './the-things-stack/index.ts'
import { type TopicOf, WebhookSource } from './webhook/webhook-source.ts'

/**
 * Where the events of a network come from; not begun yet. `log` is told what is dropped before it is anybody's event.
 * @throws {BridgeError} `config_invalid`
 */
export function createSource(config: SourceConfig, log: Log): Source[] {
  const { mqtt, webhook } = config
  const { shape, topicOf } = kindOf(config)
  const sources: Source[] = []
  // The broker of The Things Stack itself has QoS 0 only; an owner's own does better.
  const atMostOnceWillDo = config.kind === 'the-things-stack'
  if (mqtt !== undefined) {
    sources.push(new MqttSource({ address: mqtt, topic: mqtt.topic, shape, atMostOnceWillDo, log }))
  }
  if (webhook !== undefined) sources.push(new WebhookSource({ listener: webhook, shape, topicOf }))
  return sources
}

/** The network's way for downlinks, or undefined where the configuration names none. @throws {BridgeError} `config_invalid` */
export function createDownlinkPath({ kind, api, mqtt }: SourceConfig): DownlinkPath | undefined {
  // ChirpStack's MQTT commands cannot say that a payload is sealed, and under which counter.
  if (kind === 'chirpstack') return api && new chirpStack.ChirpStackDownlinks(api)
  if (api !== undefined) return new theThingsStack.TheThingsStackHttpDownlinks(api)
  return mqtt && new theThingsStack.TheThingsStackMqttDownlinks(mqtt)
}

function kindOf({ kind, encoding, joinEui }: SourceConfig): { readonly shape: EventShape; readonly topicOf: TopicOf } {
  switch (kind) {
    case 'chirpstack': {
      const chosen = chirpStack.ENCODINGS[encoding]
      return {
        shape: new chirpStack.ChirpStackShape(chosen, joinEui),
        topicOf: chirpStack.webhookTopic(encoding, chosen),
      }
    }
    case 'the-things-stack':
      return { shape: new theThingsStack.TheThingsStackShape(), topicOf: theThingsStack.webhookTopic }
  }
}
