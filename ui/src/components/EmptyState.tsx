import { Stack, Text, ThemeIcon, Title } from '@mantine/core';
import type { TablerIcon } from '@tabler/icons-react';
import type { ReactNode } from 'react';

/** What a page says before there is anything on it: what it is for, and the first step. */
export function EmptyState(props: {
  icon: TablerIcon;
  title: string;
  children?: ReactNode;
  action?: ReactNode;
}) {
  const Icon = props.icon;
  return (
    <Stack align="center" gap="sm" w="100%" maw={520} mx="auto" px="md" py="xl" ta="center">
      <ThemeIcon size={52} radius="xl" variant="light">
        <Icon size={26} stroke={1.6} />
      </ThemeIcon>
      <Title order={2} size="h3">
        {props.title}
      </Title>
      {props.children && (
        <Text c="dimmed" size="sm" component="div" maw="100%">
          {props.children}
        </Text>
      )}
      {props.action}
    </Stack>
  );
}
