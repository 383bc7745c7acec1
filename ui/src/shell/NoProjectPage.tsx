import { Center, Code } from '@mantine/core';
import { IconFolderPlus } from '@tabler/icons-react';
import { EmptyState } from '../components/EmptyState';

/** Where somebody lands whose key sees no project. */
export function NoProjectPage() {
  return (
    <Center mih="70vh" component="main">
      <EmptyState icon={IconFolderPlus} title="No project yet">
        Models, keys and interactions belong to projects, and this key sees none. Make one with{' '}
        <Code>adaptive projects create NAME</Code>, or ask an administrator to share one with your team.
      </EmptyState>
    </Center>
  );
}
