import { Button, Group, Stack, Text } from '@mantine/core';
import { CodeBlock } from '../components/CodeBlock';

/** The text of a new key, this once. */
export function KeyShown({ apiKey, advice, onDone }: { apiKey: string; advice: string; onDone: () => void }) {
  return (
    <Stack>
      <Text size="sm">{advice} It is shown this once; the server stores only a hash of it.</Text>
      <CodeBlock code={apiKey} label="API key" />
      <Text size="sm">For programs that read the environment:</Text>
      <CodeBlock
        code={`export ADAPTIVE_URL=${window.location.origin}\nexport ADAPTIVE_API_KEY=${apiKey}`}
        label="Environment"
      />
      <Group justify="flex-end">
        <Button onClick={onDone} data-autofocus>
          Done
        </Button>
      </Group>
    </Stack>
  );
}
