/** Requests as they were seen on the wire, character by character. */
export const RECORDED = {
  chirpStack103:
    '{"ProtocolVersion":"1.0","SenderID":"000013","ReceiverID":"70b3d57ed0000000","TransactionID":988596437,"MessageType":"JoinReq","MACVersion":"1.0.3","PHYPayload":"00000000d07ed5b370de55e897c8d148290100bbcc0b96","DevEUI":"2948d1c897e855de","DevAddr":"264e6866","DLSettings":"12","RxDelay":3,"CFList":"184f84e85684b85e84886684586e8400"}',
  chirpStack11:
    '{"ProtocolVersion":"1.0","SenderID":"000013","ReceiverID":"70b3d57ed0000000","TransactionID":1613978544,"MessageType":"JoinReq","MACVersion":"1.1.0","PHYPayload":"00000000d07ed5b370eb445392866593e801009e2a30f7","DevEUI":"e8936586925344eb","DevAddr":"27eef9fa","DLSettings":"92","RxDelay":3,"CFList":"184f84e85684b85e84886684586e8400"}',
  chirpStackHomeNs:
    '{"ProtocolVersion":"1.0","SenderID":"000013","ReceiverID":"70b3d57ed0000000","TransactionID":2397412250,"MessageType":"HomeNSReq","DevEUI":"57cc1544ca653648"}',
  tts103:
    '{"ProtocolVersion":"1.1","TransactionID":0,"MessageType":"JoinReq","SenderID":"000013","SenderNSID":"70B3D57ED0000013","ReceiverID":"70B3D57ED0000001","MACVersion":"1.0.3","PHYPayload":"00010000D07ED5B370ADA827EBDDB30E3B02008701EB6C","DevEUI":"3B0EB3DDEB27A8AD","DevAddr":"27DFBCC8","DLSettings":"00","RxDelay":5,"CFList":"184F84E85684B85E84886684586E8400"}\n',
  tts11:
    '{"ProtocolVersion":"1.1","TransactionID":0,"MessageType":"JoinReq","SenderID":"000013","SenderNSID":"70B3D57ED0000013","ReceiverID":"70B3D57ED0000001","MACVersion":"1.1","PHYPayload":"00010000D07ED5B3706E723814E1F73ECF0200D02195D0","DevEUI":"CF3EF7E11438726E","DevAddr":"26D1D261","DLSettings":"80","RxDelay":5,"CFList":"184F84E85684B85E84886684586E8400"}\n',
  tts100:
    '{"ProtocolVersion":"1.0","TransactionID":0,"MessageType":"JoinReq","SenderID":"000013","ReceiverID":"70B3D57ED0000001","MACVersion":"1.0","PHYPayload":"00010000D07ED5B370F15D423201E3E53801005DAC7E19","DevEUI":"38E5E30132425DF1","DevAddr":"2795D0BE","DLSettings":"00","RxDelay":5,"CFList":"184F84E85684B85E84886684586E8400"}\n',
  ttsAppSKey:
    '{"ProtocolVersion":"1.1","TransactionID":0,"MessageType":"AppSKeyReq","SenderID":"as.test","ReceiverID":"70B3D57ED0000000","DevEUI":"A289E3CE5260F853","SessionKeyID":"5260F8530000010001"}\n',
}
