/** Who may run a model, as people read it. */

interface Provider {
  label: string;
  /** What stands in the field of the endpoint: the provider's own, or what one looks like that has to be given. */
  endpoint: string;
  needsEndpoint?: boolean;
  needsKey?: boolean;
}

/** Those of external models; the server says what is wrong with what is given to them. */
export const PROVIDERS: Record<string, Provider> = {
  openai: { label: 'OpenAI', endpoint: 'https://api.openai.com/v1', needsKey: true },
  anthropic: { label: 'Anthropic', endpoint: 'https://api.anthropic.com/v1', needsKey: true },
  google: {
    label: 'Google Gemini',
    endpoint: 'https://generativelanguage.googleapis.com/v1beta',
    needsKey: true,
  },
  azure: {
    label: 'Azure OpenAI',
    endpoint: 'https://NAME.openai.azure.com',
    needsEndpoint: true,
    needsKey: true,
  },
  openai_compatible: {
    label: 'Another with OpenAI’s API (vLLM, llama-server, Ollama …)',
    endpoint: 'http://127.0.0.1:8080/v1',
    needsEndpoint: true,
  },
  anthropic_compatible: {
    label: 'Another with Anthropic’s API',
    endpoint: 'http://127.0.0.1:8080/v1',
    needsEndpoint: true,
  },
  fake: { label: 'Fake: says what it is told, without a network', endpoint: '' },
};

const SHORT: Record<string, string> = {
  internal: 'this server',
  vllm: 'vLLM, on this server',
  openai_compatible: 'OpenAI’s API elsewhere',
  anthropic_compatible: 'Anthropic’s API elsewhere',
  fake: 'fake, without a network',
};

/** Where a model runs, in few words. */
export const runsAt = (provider: string) => SHORT[provider] ?? PROVIDERS[provider]?.label ?? provider;
