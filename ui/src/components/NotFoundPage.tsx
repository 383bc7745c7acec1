import { Button, Center } from '@mantine/core';
import { IconMapSearch } from '@tabler/icons-react';
import { EmptyState } from './EmptyState';

export function NotFoundPage() {
  const home = (
    <Button component="a" href="/" mt="xs">
      Go to your project
    </Button>
  );
  return (
    <Center mih="70vh" component="main">
      <EmptyState icon={IconMapSearch} title="There is no such page" action={home}>
        The address leads nowhere, or to a project that this key may not see.
      </EmptyState>
    </Center>
  );
}
