import { Group, Text } from '@mantine/core';

export function Logo() {
  return (
    <Group gap={10}>
      <img src="/icon.svg" width={28} height={28} alt="" />
      <Text fw={650} size="md">
        Adaptive Engine
      </Text>
    </Group>
  );
}
