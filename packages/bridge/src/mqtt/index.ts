export { brokerName } from './broker-address.ts'
export { MqttConnection, type MqttConnectionOptions, type MqttTimingOptions } from './connection.ts'
export { MqttSource, type MqttSourceOptions } from './mqtt-source.ts'
