import { Button, Center, Code } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconFolderPlus } from '@tabler/icons-react';
import { EmptyState } from '../components/EmptyState';
import { NewProjectDialog } from './NewProjectDialog';
import { useMayOnServer } from './useMayOnServer';
import { useSignOut } from './useSignOut';

/** Where somebody lands whose key sees no project. */
export function NoProjectPage() {
  const mayCreate = useMayOnServer('project:create');
  const signOut = useSignOut();
  const [creating, dialog] = useDisclosure(false);
  const action = mayCreate ? (
    <Button onClick={dialog.open}>Create project</Button>
  ) : (
    <Button variant="default" onClick={signOut}>
      Sign in with another key
    </Button>
  );
  return (
    <Center mih="70vh" component="main">
      <EmptyState icon={IconFolderPlus} title="No project yet" action={action}>
        Models, keys and interactions belong to projects, and this key sees none. Ask an administrator to
        share one with your team, or to run <Code>adaptive projects create NAME</Code>.
      </EmptyState>
      {creating && <NewProjectDialog onClose={dialog.close} />}
    </Center>
  );
}
