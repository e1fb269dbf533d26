// The readers of the families, for their table alone.
#pragma once

#include "model/families/hugging_face.h"

namespace flopledger {

void ReadGpt2(const ObjectReader& in, ModelConfig& config);
void ReadGptBigCode(const ObjectReader& in, ModelConfig& config);
void ReadGptNeo(const ObjectReader& in, ModelConfig& config);
void ReadGptJ(const ObjectReader& in, ModelConfig& config);
void ReadGptNeoX(const ObjectReader& in, ModelConfig& config);
void ReadFalcon(const ObjectReader& in, ModelConfig& config);
void ReadPhi(const ObjectReader& in, ModelConfig& config);
void ReadCohere(const ObjectReader& in, ModelConfig& config);
void ReadStableLm(const ObjectReader& in, ModelConfig& config);
void ReadOpt(const ObjectReader& in, ModelConfig& config);
void ReadBloom(const ObjectReader& in, ModelConfig& config);
void ReadMpt(const ObjectReader& in, ModelConfig& config);
void ReadStarCoder2(const ObjectReader& in, ModelConfig& config);
void ReadNemotron(const ObjectReader& in, ModelConfig& config);
void ReadPersimmon(const ObjectReader& in, ModelConfig& config);
void ReadLlama(const ObjectReader& in, ModelConfig& config);
void ReadArcee(const ObjectReader& in, ModelConfig& config);
void ReadInternLm(const ObjectReader& in, ModelConfig& config);
void ReadBaichuan(const ObjectReader& in, ModelConfig& config);
void ReadOrion(const ObjectReader& in, ModelConfig& config);
void ReadMistral(const ObjectReader& in, ModelConfig& config);
void ReadSmolLm3(const ObjectReader& in, ModelConfig& config);
void ReadGranite(const ObjectReader& in, ModelConfig& config);
void ReadGraniteMoe(const ObjectReader& in, ModelConfig& config);
void ReadMiniCpm(const ObjectReader& in, ModelConfig& config);
void ReadErnie(const ObjectReader& in, ModelConfig& config);
void ReadSeedOss(const ObjectReader& in, ModelConfig& config);
void ReadExaone(const ObjectReader& in, ModelConfig& config);
void ReadExaone4(const ObjectReader& in, ModelConfig& config);
void ReadChatGlm(const ObjectReader& in, ModelConfig& config);
void ReadGlm(const ObjectReader& in, ModelConfig& config);
void ReadQwen1(const ObjectReader& in, ModelConfig& config);
void ReadQwen2(const ObjectReader& in, ModelConfig& config);
void ReadQwen2Vl(const ObjectReader& in, ModelConfig& config);
void ReadLlama4(const ObjectReader& in, ModelConfig& config);
void ReadQwen2Moe(const ObjectReader& in, ModelConfig& config);
void ReadQwen3(const ObjectReader& in, ModelConfig& config);
void ReadQwen3Moe(const ObjectReader& in, ModelConfig& config);
void ReadGemma(const ObjectReader& in, ModelConfig& config);
void ReadGemma2(const ObjectReader& in, ModelConfig& config);
void ReadGemma3(const ObjectReader& in, ModelConfig& config);
void ReadOlmo(const ObjectReader& in, ModelConfig& config);
void ReadOlmo2(const ObjectReader& in, ModelConfig& config);
void ReadOlmoe(const ObjectReader& in, ModelConfig& config);
void ReadPhi3(const ObjectReader& in, ModelConfig& config);
void ReadMixtral(const ObjectReader& in, ModelConfig& config);
void ReadPhiMoe(const ObjectReader& in, ModelConfig& config);
void ReadDbrx(const ObjectReader& in, ModelConfig& config);
void ReadGptOss(const ObjectReader& in, ModelConfig& config);
void ReadDeepSeek(const ObjectReader& in, ModelConfig& config);
void ReadGlmMoe(const ObjectReader& in, ModelConfig& config);

}  // namespace flopledger
